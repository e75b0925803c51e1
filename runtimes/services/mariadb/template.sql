-- What every sandbox's server begins with, after the system's own tables. The program, its server and the person are one and the same
-- user of the sandbox, so there is nothing to keep from anybody: the container is the wall.
DELETE FROM proxies_priv;
-- Views of the system run as this one; nobody can log in as it.
DELETE FROM global_priv WHERE User <> 'mariadb.sys';
FLUSH PRIVILEGES;
CREATE USER sandbox@localhost;
GRANT ALL PRIVILEGES ON *.* TO sandbox@localhost WITH GRANT OPTION;
CREATE DATABASE sandbox;
