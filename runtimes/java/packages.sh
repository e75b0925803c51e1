#!/bin/sh
# What the daemon asks for the packages of a pom.xml; see packages/coderunner/packages/Main.java.
exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp /opt/coderunner/packages.jar coderunner.packages.Main "$@"
