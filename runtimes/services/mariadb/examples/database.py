"""Uses the database beside it: run it with `coderunner run --service mariadb database.py`."""
import os

import pymysql

database = pymysql.connect(
    unix_socket=os.environ["MARIADB_SOCKET"],
    user=os.environ["MARIADB_USER"],
    database=os.environ["MARIADB_DATABASE"],
)
with database, database.cursor() as cursor:
    cursor.execute("CREATE TABLE planets (name VARCHAR(20) PRIMARY KEY, moons INT)")
    cursor.executemany("INSERT INTO planets VALUES (%s, %s)", [("Earth", 1), ("Mars", 2), ("Venus", 0)])
    cursor.execute("SELECT name, moons FROM planets WHERE moons > 0 ORDER BY moons")
    for name, moons in cursor:
        print(f"{name}: {moons}")
