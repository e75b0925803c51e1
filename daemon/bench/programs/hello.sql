SELECT 'hello' AS word;
