"""What Engage has stored, read back: computations, their members, why somebody is one, and profiles for programs.

For the commands `headgate engage …` and the Profile API. Works beside a server and on a copy, and reads only.
"""
