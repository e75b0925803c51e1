# Greets everyone it is given: try it with the arguments `Ada Grace --shout`.
shout=false
names=()
for argument in "$@"; do
  if [[ $argument == --shout ]]; then
    shout=true
  else
    names+=("$argument")
  fi
done

for name in "${names[@]:-world}"; do
  greeting="Hello, $name!"
  if $shout; then
    greeting=${greeting^^}
  fi
  echo "$greeting"
done
