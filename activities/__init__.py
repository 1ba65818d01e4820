"""What workflows ask for: classes whose fields are their dependencies. Every activity can be run again."""
