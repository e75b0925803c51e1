import sys

print("begins", flush=True)
input()
line = "All work and no play makes Jack a dull boy.\n"
block = line * 1_000
for _ in range(50_000_000 // len(block) + 1):
    sys.stdout.write(block)
print("\nall of it", flush=True)
