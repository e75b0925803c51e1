# The same as for JavaScript, with the types.
sh -e "$(dirname "$0")/../javascript/install.sh"
