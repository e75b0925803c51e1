SELECT name AS largest FROM areas ORDER BY area DESC LIMIT 1;
