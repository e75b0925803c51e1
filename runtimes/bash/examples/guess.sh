# A game: the answer comes at once, because what you type goes straight to the program.
number=$((RANDOM % 20 + 1))
tries=0
echo "I think of a number from 1 to 20."
while printf 'Your guess: ' && read -r guess; do
  if [[ ! $guess =~ ^[0-9]+$ ]]; then
    echo "A whole number, please."
    continue
  fi
  tries=$((tries + 1))
  if ((guess == number)); then
    echo "Right, after $tries $( ((tries == 1)) && echo try || echo tries)!"
    exit
  fi
  ((guess < number)) && echo "Higher!" || echo "Lower!"
done
echo
echo "It was $number."
