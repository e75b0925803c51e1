# Adds up the numbers that it reads: try it with `< numbers.txt`, or type some and end with Ctrl-D.
numbers = $stdin.each_line.map { |line| Float(line) }
puts "#{numbers.size} numbers, together #{numbers.sum}"
