import sys

print('run', sys.argv[1])
