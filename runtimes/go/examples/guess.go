// A game: the answer comes at once, because what you type goes straight to the program.
package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
)

func main() {
	number := rand.IntN(20) + 1
	fmt.Println("I think of a number from 1 to 20.")
	lines := bufio.NewScanner(os.Stdin)
	tries := 0
	for fmt.Print("Your guess: "); lines.Scan(); fmt.Print("Your guess: ") {
		guess, err := strconv.Atoi(lines.Text())
		if err != nil {
			fmt.Println("A whole number, please.")
			continue
		}
		tries++
		switch {
		case guess < number:
			fmt.Println("Higher!")
		case guess > number:
			fmt.Println("Lower!")
		case tries == 1:
			fmt.Println("Right, after 1 try!")
			return
		default:
			fmt.Printf("Right, after %d tries!\n", tries)
			return
		}
	}
	fmt.Printf("\nIt was %d.\n", number)
}
