INSERT INTO shapes VALUES ('circle', 1), ('square', 2);
