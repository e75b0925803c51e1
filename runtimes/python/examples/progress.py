"""Draws a coloured progress bar over and over on the same line: output shows as it is printed."""
import time

WIDTH = 30
STEPS = 25
GREEN, PLAIN = "\x1b[32m", "\x1b[0m"
for step in range(STEPS + 1):
    filled = WIDTH * step // STEPS
    bar = f"{GREEN}{'█' * filled}{PLAIN}{'░' * (WIDTH - filled)}"
    print(f"\r{bar} {100 * step // STEPS:3} %", end="")
    time.sleep(0.04)
print("\nDone.")
