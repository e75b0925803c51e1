# Adds up the numbers on its input, one a line.
awk 'NF { count++; sum += $1 } END { printf "%d numbers, sum %g\n", count, sum }'
