-- Writes a file: what a program produces can be taken out of the sandbox.
SELECT 'number', 'square'
UNION ALL
SELECT seq, seq * seq FROM seq_1_to_10
INTO OUTFILE '/workspace/report.csv' FIELDS TERMINATED BY ',';
