"""Writes a file: what a program produces can be taken out of the sandbox."""
import csv

with open("report.csv", "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["number", "square"])
    writer.writerows((n, n * n) for n in range(1, 11))
print("Wrote report.csv")
