"""Greets everyone it is given: try it with the arguments `Ada Grace --shout`."""
import argparse

parser = argparse.ArgumentParser(description="Greets people.")
parser.add_argument("names", nargs="*", default=["world"], help="whom to greet")
parser.add_argument("--shout", action="store_true", help="greet them loudly")
options = parser.parse_args()

for name in options.names:
    greeting = f"Hello, {name}!"
    print(greeting.upper() if options.shout else greeting)
