"""What happens to jobs by the thousand, simulated: the old commit's policy beside the code that is shipped."""
