CREATE VIEW areas AS
SELECT name, CASE name WHEN 'circle' THEN PI() * size * size ELSE size * size END AS area FROM shapes;
