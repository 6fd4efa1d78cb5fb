-- Beside `freshet`, which PostgreSQL's image makes: one for each server that keeps its own tables.
CREATE DATABASE mlflow;
CREATE DATABASE prefect;
