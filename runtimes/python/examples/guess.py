"""A game: the answer comes at once, because what you type goes straight to the program."""
import random

number = random.randint(1, 20)
print("I think of a number from 1 to 20.")
tries = 0
while True:
    try:
        guess = int(input("Your guess: "))
    except ValueError:
        print("A whole number, please.")
        continue
    except EOFError:
        print(f"\nIt was {number}.")
        break
    tries += 1
    if guess == number:
        print(f"Right, after {tries} {'try' if tries == 1 else 'tries'}!")
        break
    print("Higher!" if guess < number else "Lower!")
