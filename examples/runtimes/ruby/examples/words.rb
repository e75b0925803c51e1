# Counts the words of its arguments: `coderunner run words.rb -- to be or not to be`.
ARGV.tally.sort_by { |word, count| [-count, word] }.each do |word, count|
  puts "#{count} #{word}"
end
