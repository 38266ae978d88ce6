"""What `check --live` looks at: Kombo and the IdPs as they are now, and what the state says of each tenant since.

Kombo and the IdPs are asked; nothing is written, neither there nor here. What they answer is laid over what the state
has of them, and judged as the admin page judges it. `broken` shuts learners out or will within days, and makes the
command's exit code 1; `attention` does not.
"""
