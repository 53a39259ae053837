"""Customer metrics asked of the requests: tickets made from them, and a versioned definition in SQL for each metric."""
