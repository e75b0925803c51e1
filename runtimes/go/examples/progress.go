// Draws a coloured progress bar over and over on the same line: output shows as it is printed.
package main

import (
	"fmt"
	"strings"
	"time"
)

const (
	width = 30
	steps = 25
	green = "\x1b[32m"
	plain = "\x1b[0m"
)

func main() {
	for step := range steps + 1 {
		filled := width * step / steps
		bar := green + strings.Repeat("█", filled) + plain + strings.Repeat("░", width-filled)
		fmt.Printf("\r%s %3d %%", bar, 100*step/steps)
		time.Sleep(40 * time.Millisecond)
	}
	fmt.Println("\nDone.")
}
