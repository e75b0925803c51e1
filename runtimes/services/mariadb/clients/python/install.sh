# PyMySQL, which is all Python: whatever python3 there is can import it.
apt-get install -y --no-install-recommends python3-pymysql
