// Adds up the numbers on its input, one a line.
package main

import "fmt"

func main() {
	count, sum := 0, 0.0
	for {
		var number float64
		if _, err := fmt.Scan(&number); err != nil {
			break
		}
		count++
		sum += number
	}
	fmt.Printf("%d numbers, sum %g\n", count, sum)
}
