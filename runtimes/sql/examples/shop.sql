-- Several results: joins, groups, windows.
CREATE TABLE products (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50) NOT NULL, price DECIMAL(8, 2) NOT NULL);
CREATE TABLE sales (product INT NOT NULL REFERENCES products (id), day DATE NOT NULL, pieces INT NOT NULL);

INSERT INTO products (name, price) VALUES ('Tea', 4.50), ('Kettle', 39.90), ('Cup', 7.25);
INSERT INTO sales VALUES (1, '2026-01-05', 3), (1, '2026-01-06', 5), (3, '2026-01-06', 2), (1, '2026-01-07', 1);

SELECT name, SUM(pieces) AS pieces, SUM(pieces * price) AS turnover
FROM products LEFT JOIN sales ON sales.product = products.id
GROUP BY products.id
ORDER BY turnover DESC;

SELECT day, SUM(pieces) AS pieces, SUM(SUM(pieces)) OVER (ORDER BY day) AS so_far
FROM sales
GROUP BY day;
