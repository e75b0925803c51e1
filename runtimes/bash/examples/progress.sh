# Draws a coloured progress bar over and over on the same line: output shows as it is printed.
readonly WIDTH=30 STEPS=25
readonly GREEN=$'\e[32m' PLAIN=$'\e[0m'

# Prints the text $1 $2 times.
repeat() {
  local count
  for ((count = 0; count < $2; count++)); do
    printf '%s' "$1"
  done
}

for ((step = 0; step <= STEPS; step++)); do
  filled=$((WIDTH * step / STEPS))
  printf '\r%s%s%s%s %3d %%' "$GREEN" "$(repeat █ $filled)" "$PLAIN" "$(repeat ░ $((WIDTH - filled)))" $((100 * step / STEPS))
  sleep 0.04
done
printf '\nDone.\n'
