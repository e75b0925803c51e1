import time

start = time.perf_counter_ns()
sum(range(100_000))
print(time.perf_counter_ns() - start)
