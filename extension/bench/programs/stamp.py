import time

print(f"[{time.time_ns()}]")
