// Writes a file: what a program produces can be taken out of the sandbox.
package main

import (
	"encoding/csv"
	"fmt"
	"log"
	"os"
	"strconv"
)

func main() {
	file, err := os.Create("report.csv")
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()

	rows := [][]string{{"number", "square"}}
	for n := 1; n <= 10; n++ {
		rows = append(rows, []string{strconv.Itoa(n), strconv.Itoa(n * n)})
	}
	if err := csv.NewWriter(file).WriteAll(rows); err != nil {
		log.Fatal(err)
	}
	fmt.Println("Wrote report.csv")
}
