"""What a supervisor decides: a pure state machine. Nothing in here touches a process or a clock."""
