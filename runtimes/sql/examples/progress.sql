-- Counts slowly: each result shows as soon as it is there.
DELIMITER //
CREATE PROCEDURE steps(most INT)
BEGIN
  FOR step IN 1..most DO
    DO SLEEP(0.2);
    SELECT step, CONCAT(REPEAT('█', step * 4), REPEAT('░', (most - step) * 4)) AS progress;
  END FOR;
END//
DELIMITER ;

CALL steps(5);
