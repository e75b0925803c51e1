"""Draws a progress bar over and over on the same line: output shows as it is printed."""
import time

WIDTH = 30
STEPS = 50
for step in range(STEPS + 1):
    filled = WIDTH * step // STEPS
    print(f"\r[{'#' * filled}{'.' * (WIDTH - filled)}] {100 * step // STEPS:3} %", end="")
    time.sleep(0.04)
print("\nDone.")
