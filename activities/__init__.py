"""The activities that workflows call: classes whose fields are their dependencies. Every activity may run again."""
