"""DynamoDB: tables, conditions, retries, queries and batches. Nothing here knows a domain noun."""
