# Writes a file: what a program produces can be taken out of the sandbox.
{
  echo "number,square"
  for n in {1..10}; do
    echo "$n,$((n * n))"
  done
} > report.csv
echo "Wrote report.csv"
