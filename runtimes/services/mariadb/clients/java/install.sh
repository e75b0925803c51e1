# MariaDB's JDBC driver where the launcher looks for libraries, and with it a way to the server's socket that needs no native code.
cd "$(dirname "$0")"
apt-get download libmariadb-java
dpkg-deb --extract libmariadb-java_*.deb driver
install -D -m 0644 -t /opt/coderunner/lib driver/usr/share/java/mariadb-java-client.jar
javac -Xlint:all -Werror -d classes coderunner/UnixSocketFactory.java
java Pack.java /opt/coderunner/lib/mariadb-socket.jar classes
chmod 0644 /opt/coderunner/lib/mariadb-socket.jar
