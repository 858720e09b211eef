# In PowerShell as administrator:  .\windows_task.ps1 -Folder C:\trade
# The folder has trade.py, healthcheck.py and the environment .venv. TQ_USER and TQ_PASS are
# variables of the user (System Properties, Environment Variables).
# Windows starts the program at logon and every five minutes; one that runs already is left alone.
# Before each start the health is asked: a program that is not well, and not just starting, is
# ended first.
param([Parameter(Mandatory)] [string] $Folder)

$python = Join-Path $Folder ".venv\Scripts\python.exe"
$program = Join-Path $Folder "trade.py"
$start = @"
`$task = Get-CimInstance Win32_Process -Filter "Name = 'python.exe'" |
    Where-Object { `$_.CommandLine -and `$_.CommandLine.Contains('$program') }
if (`$task) {
    if (`$task | Where-Object { `$_.CreationDate -gt (Get-Date).AddMinutes(-4) }) { exit 0 }
    & '$python' healthcheck.py
    if (`$LASTEXITCODE -eq 0) { exit 0 }
    `$task | ForEach-Object { Stop-Process -Id `$_.ProcessId -Force }
}
& '$python' '$program'
"@
$script = Join-Path $Folder "start.ps1"
Set-Content -Path $script -Value $start -Encoding UTF8

$action = New-ScheduledTaskAction -Execute "powershell.exe" -WorkingDirectory $Folder `
    -Argument "-NoProfile -ExecutionPolicy Bypass -File `"$script`""
$triggers = @(
    (New-ScheduledTaskTrigger -AtLogOn),
    (New-ScheduledTaskTrigger -Once -At (Get-Date) -RepetitionInterval (New-TimeSpan -Minutes 5))
)
$settings = New-ScheduledTaskSettingsSet -MultipleInstances Parallel -StartWhenAvailable `
    -ExecutionTimeLimit ([TimeSpan]::Zero) -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries
Register-ScheduledTask -TaskName "tianqin" -Action $action -Trigger $triggers -Settings $settings -Force
