"""What runs will take, before any of them starts."""
