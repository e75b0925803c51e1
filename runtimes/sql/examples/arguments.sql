-- Greets everyone it is given: try it with the arguments `Ada Grace`. Arguments are @arg1, @arg2 and so on, and all of them @args.
SELECT CONCAT('Hello, ', name, '!') AS greeting
FROM JSON_TABLE(IF(JSON_LENGTH(@args) > 0, @args, '["world"]'), '$[*]' COLUMNS (name VARCHAR(100) PATH '$')) AS people;
