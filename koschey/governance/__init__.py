"""What admins set for the whole index: the policy, reserved and claimed names, and how long downloads are kept."""
