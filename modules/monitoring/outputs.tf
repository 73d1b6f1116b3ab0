output "topic_arn" {
  description = "The SNS topic of all alarms."
  value       = aws_sns_topic.alarms.arn
}

output "alarm_names" {
  description = "The alarms."
  value       = [for a in aws_cloudwatch_metric_alarm.this : a.alarm_name]
}

output "log_group" {
  description = "Where servers ship their logs to."
  value       = { name = aws_cloudwatch_log_group.servers.name, arn = aws_cloudwatch_log_group.servers.arn }
}
