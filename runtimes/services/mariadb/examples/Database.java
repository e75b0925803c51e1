import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Map;

/** Uses the database beside it: run it with `coderunner run --service mariadb Database.java`. */
public class Database {
  public static void main(String[] args) throws SQLException {
    try (Connection database = DriverManager.getConnection(System.getenv("MARIADB_JDBC_URL"));
        Statement statement = database.createStatement()) {
      statement.execute("CREATE TABLE planets (name VARCHAR(20) PRIMARY KEY, moons INT)");
      try (PreparedStatement insert = database.prepareStatement("INSERT INTO planets VALUES (?, ?)")) {
        for (var planet : Map.of("Earth", 1, "Mars", 2, "Venus", 0).entrySet()) {
          insert.setString(1, planet.getKey());
          insert.setInt(2, planet.getValue());
          insert.executeUpdate();
        }
      }
      try (ResultSet planets = statement.executeQuery("SELECT name, moons FROM planets WHERE moons > 0 ORDER BY moons")) {
        while (planets.next()) System.out.println(planets.getString("name") + ": " + planets.getInt("moons"));
      }
    }
  }
}
