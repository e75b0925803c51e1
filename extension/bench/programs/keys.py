import os
import tty

tty.setraw(0)
os.write(1, b">")
while (key := os.read(0, 1)) != b"q":
    os.write(1, key)
