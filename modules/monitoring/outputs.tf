output "topic_arn" {
  description = "The SNS topic of all alarms."
  value       = aws_sns_topic.alarms.arn
}

output "alarm_names" {
  description = "The alarms."
  value       = [for a in aws_cloudwatch_metric_alarm.this : a.alarm_name]
}

output "log_group" {
  description = "Where servers ship their logs to, or null."
  value       = one([for g in aws_cloudwatch_log_group.servers : { name = g.name, arn = g.arn }])
}
