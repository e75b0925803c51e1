-- A project of several files: schema.sql, the files of schema/, data.sql and those of data/ run before this one, in this order.
SELECT name, ROUND(area, 2) AS area FROM areas ORDER BY area;

SOURCE queries/largest.sql;
