-- Adds up the numbers on its input, one a line.
CREATE TEMPORARY TABLE numbers (number DOUBLE);

LOAD DATA LOCAL INFILE '/dev/stdin' INTO TABLE numbers LINES TERMINATED BY '\n' (@line)
SET number = NULLIF(TRIM(@line), '');

SELECT COUNT(number) AS numbers, SUM(number) AS sum FROM numbers;
