# A program of several files: what it sources lies in a folder beside it.
here=$(dirname "$0")
source "$here/shapes/circle.sh"
source "$here/shapes/square.sh"

printf '%-8s area %.2f\n' circle "$(circle_area 1)" square "$(square_area 2)"
